"""Every exercise of every lesson: its solution is right, its stub open, wrong answers are named."""

import ast
import importlib
import re
from pathlib import Path

import jupytext
import pytest
import torch
from exercises import Mistake, check, exercise, exercises, judge, same
from exercises.verdict import NotBegun

ROOT = Path(__file__).resolve().parent.parent
LESSONS = {p.stem.split("_")[0]: p for p in sorted((ROOT / "notebooks/source").glob("*.py"))}


def cells(lesson, tag):
    """The cells with a tag, by the exercise they belong to."""
    notebook = jupytext.read(LESSONS[lesson])
    tagged = [c for c in notebook.cells if tag in c.metadata.get("tags", [])]
    return {c.metadata["exercise"]: c.source for c in tagged}


EXERCISES = [(lesson, name) for lesson in LESSONS for name in cells(lesson, "exercise")]


def answer(lesson, name, code):
    """What the learner's code hands to ``check``, run after the cells tagged ``context``."""
    space = {"preset": "smoke", "root": ROOT}
    for cell in jupytext.read(LESSONS[lesson]).cells:
        if "context" in cell.metadata.get("tags", []):
            exec(cell.source, space)
        if cell.metadata.get("exercise") == name:
            break
    exec(code, space)
    stub = ast.parse(cells(lesson, "exercise")[name])
    calls = [
        n.value for n in stub.body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)
    ]
    call = next(c for c in calls if getattr(c.func, "id", "") == "check")
    assert ast.literal_eval(call.args[0]) == name
    return eval(compile(ast.Expression(call.args[1]), name, "eval"), space)


@pytest.mark.parametrize(("lesson", "name"), EXERCISES)
def test_the_solution_is_right_and_the_stub_is_open(lesson, name):
    solution = re.findall(r"```python\n(.*?)```", cells(lesson, "solution")[name], re.S)
    verdict = judge(name, answer(lesson, name, "\n".join(solution)))
    assert verdict.status == "right", verdict
    stub = re.sub(r"^check\(.*", "", cells(lesson, "exercise")[name], flags=re.M)
    verdict = judge(name, answer(lesson, name, stub))
    assert verdict.status == "open", verdict


@pytest.mark.parametrize(("lesson", "name"), EXERCISES)
def test_wrong_answers_are_named(lesson, name):
    wrong = importlib.import_module(f"tests.wrong_answers.lesson{lesson}").WRONG[name]
    assert len(wrong) >= 2
    for words, code in wrong:
        verdict = judge(name, answer(lesson, name, code))
        assert verdict.status == "wrong" and words in verdict.text, (code, verdict)


@pytest.mark.parametrize("lesson", sorted({lesson for lesson, _ in EXERCISES}))
def test_every_exercise_is_in_its_lesson_with_hints_and_a_solution(lesson):
    names = list(cells(lesson, "exercise"))
    assert names == exercises(lesson) and 2 <= len(names) <= 4
    for tag in ("hints", "solution"):
        folded = cells(lesson, tag)
        assert list(folded) == names
        for text in folded.values():
            assert text.count("<details>") == text.count("</details>") >= 1
    assert all(text.count("<summary>Hint") >= 2 for text in cells(lesson, "hints").values())


def test_same_says_how_an_answer_differs():
    want = torch.tensor([1.0, 2.0, 4.0])
    same(want + 1e-6, want)
    for got, words in (
        (want[:2], "shape"), (-want, "sign"), (3 * want, "3 times"), (want * torch.nan, "finite"),
        ("word", "should be a tensor"), (want + torch.tensor([0.0, 1.0, 0.0]), "up to 1"),
        (want.flip(0), "reversed"),
    ):  # fmt: skip
        with pytest.raises(Mistake, match=words):
            same(got, want, mistakes={"it is reversed": want.flip(0)})
    with pytest.raises(Mistake, match="up to 1"):  # any number is some multiple of another
        same(3.0, 2.0)
    with pytest.raises(NotBegun):
        same(..., want)


def test_a_verdict_is_printed_and_an_error_becomes_words(capsys):
    @exercise("99.double")
    def double(function):
        same(function(torch.tensor([1.0, 2.0])), torch.tensor([2.0, 4.0]))
        return "that is twice as much."

    def broken(x):
        return 1 / 0

    import sys
    import types

    sys.modules["exercises.lesson99"] = types.ModuleType("lesson99")
    for given in (lambda x: 2 * x, lambda x: None, lambda x: 3 * x, broken, ..., None):
        check("99.double", given)
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines] == list("✓○✗✗○○")
    assert lines[0] == "✓ 99.double: that is twice as much."
    assert "1.5 times" in lines[2] and "ZeroDivisionError" in lines[3]
    with pytest.raises(ValueError, match=r"'98\.x'"):
        judge("98.x", 1)
