import pytest

from . import LONG, ends


@pytest.fixture(scope="session", autouse=True)
def counts():
    yield
    if LONG:
        print("\n" + "\n".join(f"{' '.join(k)}: {n:,}" for k, n in sorted(ends.items())))
