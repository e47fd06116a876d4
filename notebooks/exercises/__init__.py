"""Exercises of the notebooks: check an answer, and say what is wrong with it.

Each lesson's exercises are in a module of their own, ``lesson01`` and so on, so that the answer to
an exercise is looked for in one place only; ``verdict`` is how all of them judge.
"""

from exercises.verdict import Mistake, Verdict, check, exercise, exercises, judge, same

__all__ = ["Mistake", "Verdict", "check", "exercise", "exercises", "judge", "same"]
