"""What surrounds a check of a repository: the file of its settings, and the baseline that it is compared with.

Checking itself is `onnx_tagger.workflows.gating`'s.
"""
