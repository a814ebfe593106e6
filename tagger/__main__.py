"""`python -m onnx_tagger` is the command `onnx-tagger`; the command itself lives in `onnx_tagger.cli.main`."""

from onnx_tagger.cli.main import main

if __name__ == "__main__":
    main()
