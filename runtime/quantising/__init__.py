"""What lives here: quantisers of onnxruntime and the mending of what they write.

What does not: which modules are quantised and how a result is tagged, which is a workflow.
"""
