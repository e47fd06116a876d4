"""Wrong answers to the exercises of lesson 01, with the words that should name the mistake."""

_LAYER = """
class Adapted(nn.Module):
    def __init__(self, base, rank, alpha):
        super().__init__()
        self.base = base{freeze}
        self.A = nn.Linear(base.in_features, rank, bias=False)
        self.B = nn.Linear(rank, base.out_features, bias=False)
        {init}
        self.scale = {scale}

    def forward(self, x):
        return {output}
"""


def _layer(
    freeze=".requires_grad_(False)",
    init="nn.init.zeros_(self.B.weight)",
    scale="alpha / rank",
    output="self.base(x) + self.B(self.A(x)) * self.scale",
):
    return _LAYER.format(freeze=freeze, init=init, scale=scale, output=output)


_FORWARD = "def lora_forward(x, W, A, B, alpha):\n    return "
_MERGE = "def merged_weight(W, A, B, alpha):\n    "
_COUNT = "def count_lora(n_in, n_out, rank):\n    return "
_BOTH_ZERO = "nn.init.zeros_(self.B.weight)\n        nn.init.zeros_(self.A.weight)"

WRONG = {
    "01.count": [
        ("two separate matrices", _COUNT + "rank * n_in * n_out"),
        ("square maps only", _COUNT + "2 * rank * n_in"),
        ("frozen weight", _COUNT + "n_in * n_out + rank * (n_in + n_out)"),
        ("B is missing", _COUNT + "rank * n_in"),
        ("twice too many", _COUNT + "2 * rank * (n_in + n_out)"),
    ],
    "01.forward": [
        ("alpha / r is missing", _FORWARD + "x @ W.T + x @ A.T @ B.T"),
        ("not divided by r", _FORWARD + "x @ W.T + alpha * (x @ A.T @ B.T)"),
        ("// instead of /", _FORWARD + "x @ W.T + alpha // len(A) * (x @ A.T @ B.T)"),
        ("number of rows of A", _FORWARD + "x @ W.T + alpha / A.shape[1] * (x @ A.T @ B.T)"),
        ("x W^T is missing", _FORWARD + "alpha / len(A) * (x @ A.T @ B.T)"),
        ("update alone", _FORWARD + "alpha / len(A) * (x @ W.T + x @ A.T @ B.T)"),
        ("no gradient reaches A", _FORWARD + "x @ W.T + alpha / len(A) * (x @ A.T.detach() @ B.T)"),
        ("RuntimeError", _FORWARD + "x @ W.T + alpha / len(A) * (x @ A @ B)"),
    ],
    "01.layer": [
        ("not frozen", _layer(freeze="")),
        ("change nothing", _layer(init="pass")),
        ("nothing trains", _layer(init=_BOTH_ZERO)),
        ("yours is alpha // r", _layer(scale="alpha // rank")),
        ("yours is missing", _layer(scale="1")),
        (
            "no gradient reaches",
            _layer(output="self.base(x) + (self.B(self.A(x)) * self.scale).detach()"),
        ),
        (
            "bias of the base",
            _layer(output="x @ self.base.weight.T + self.B(self.A(x)) * self.scale"),
        ),
        ("base is not added", _layer(output="self.B(self.A(x)) * self.scale")),
        ("nn.Module", "class Adapted:\n    def __init__(self, base, rank, alpha): ..."),
    ],
    "01.merge": [
        ("frozen weight is missing", _MERGE + "return alpha / len(A) * B @ A"),
        ("scale alpha / r is missing", _MERGE + "return W + B @ A"),
        ("what you were given was changed", _MERGE + "W += alpha / len(A) * B @ A\n    return W"),
        ("subtracted", _MERGE + "return W - alpha / len(A) * B @ A"),
        ("RuntimeError", _MERGE + "return W + alpha / len(A) * A @ B"),
    ],
}
