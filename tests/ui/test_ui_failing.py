"""A page that breaks says one sentence: what was refused, or that something unexpected happened."""

from streamlit.testing.v1 import AppTest


def refused():
    from audit.errors import NotFoundError
    from audit.ui import failing

    failing.tell(NotFoundError("There is no class '**bold** <b>'."))


def broken():
    from audit.ui import failing

    failing.tell(ZeroDivisionError("a secret: /home/somebody"))


def test_what_is_refused_says_why_in_its_own_words_shown_as_text():
    (said,) = AppTest.from_function(refused).run().error
    assert said.value.replace("\\", "") == "There is no class '**bold** <b>'."
    assert "**bold**" not in said.value


def test_what_breaks_names_its_kind_and_a_next_step_and_tells_no_detail(caplog):
    (said,) = AppTest.from_function(broken).run().error
    assert "ZeroDivisionError" in said.value
    assert "Reload the page" in said.value
    assert "secret" not in said.value
    assert any(record.exc_info for record in caplog.records), "the log says where it happened"
