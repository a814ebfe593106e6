"""What a command does and what the Python API calls: one verb a file.

Passes, exporters and runtimes are combined here and nowhere else; printing is the reporters' task.
"""
