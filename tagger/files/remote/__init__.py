"""Files that lie elsewhere, read by ranges: HTTP, and whatever else fsspec knows; the only place that imports fsspec.

What is read is the matter of the rooms above; what a URL is and what is printed of it, that of `model/urls`.
"""
