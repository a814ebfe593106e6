"""Inferred shapes; a model that does not fit itself stays as it is."""

from onnx import helper

from onnx_tagger.model.shapes import inferred_graph


def test_a_model_that_does_not_fit_itself_stays_as_it_is() -> None:
    values = [helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", [2, 3]), ("y", [7, 7]))]
    product = helper.make_node("MatMul", ["x", "x"], ["y"])
    model = helper.make_model(helper.make_graph([product], "g", values[:1], values[1:]))
    assert inferred_graph(model) == model.graph
