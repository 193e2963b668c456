"""What is said follows the environment, and in a log it is English."""

from __future__ import annotations

import threading

import pytest

from agent.language import english, language, say


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ko"}, "ko"),
    ],
)
def test_the_first_name_that_is_set_decides(monkeypatch, values, expected) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert language() == expected


def test_what_goes_into_a_log_is_english_in_every_thread_and_only_there(monkeypatch) -> None:
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    heard: list[str] = []

    @english()
    def work() -> None:
        with english():
            thread = threading.Thread(target=lambda: heard.append(say("둘", "two")))
            thread.start()
            thread.join()
        heard.append(say("셋", "three"))
        raise ValueError

    with pytest.raises(ValueError):
        work()
    with pytest.raises(ValueError):
        work()
    assert heard == ["two", "three"] * 2
    assert say("하나", "one") == "하나"


def test_to_one_visitor_in_his_language_whatever_the_process_speaks(monkeypatch):
    import threading

    from agent.language import english, language, speaking

    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    heard = []
    with english(), speaking("ko"):
        other = threading.Thread(target=lambda: heard.append(language()))
        other.start()
        other.join()
        heard.append(language())
        with speaking("en"):
            heard.append(language())
        heard.append(language())
    assert [*heard, language()] == ["en", "ko", "en", "ko", "en"]
