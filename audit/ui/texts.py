"""Words on the screen: user text made harmless where Streamlit would read it as markdown."""

import re

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=@/\"'])")


def plain(text: str) -> str:
    r"""Return a text that shows as it is wherever Streamlit reads markdown.

    Parameters
    ----------
    text
        A class name, file name, note: anything that a user or a file brought along.

    Examples
    --------
    >>> print(plain("**bold** :red[x] $y$"))
    \*\*bold\*\* \:red\[x\] \$y\$
    """
    one_line = " ".join(text.split())
    return _SPECIAL.sub(r"\\\1", one_line)
