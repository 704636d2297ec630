"""Sentences of the terminal in the words of the pages: fields and buttons instead of flags."""

import re

_REPLACED: tuple[tuple[str, str], ...] = (
    (r"choose --preset features", "choose the preset “features”, or leave the weights out"),
    (r"use (a smaller )?--image-size( \d+)?( or more)?", r"use \1an image size\2\3"),
    (r"a smaller an image size", "a smaller image size"),
    (r"an image size( \d+)", r"an image size of\1"),
    (r"another --(architecture|device)", r"another \1"),
    (r"name a device with --device cpu", "choose the device “cpu”"),
    (r"--weights are", "Weights are"),
    (r"check --weights", "check the path"),
    (r"no --weights FILE was given", "no weights file was named"),
    (r"train with --probe none", "look for a ranking instead"),
    (r"choose another name or use --force", "choose another name, or tick “Replace what is there”"),
    (r"so --force does not replace it", "so it is not replaced"),
    (r"continue it with 'labeltrace resume \w+'", "resume it"),
    (
        r"follow it with `labeltrace relocate DATASET NEW_ROOT`",
        "say under Datasets where it lies now",
    ),
    (
        r"`labeltrace relocate DATASET NEW_ROOT` follows it",
        "say under Datasets where it lies now",
    ),
    (r": relocate the dataset\.", ": say under Datasets where its files lie now."),
    (r"`labeltrace list \w+` shows what there is", "the pages list what there is"),
    (r"`labeltrace train DATASET --probe \w+` makes it", "start one under Runs"),
    (r"`labeltrace score RUN --method M` makes some", "ask for some under Runs"),
    (r"`labeltrace methods` lists them", "Runs lists them"),
    (r"`labeltrace labels log` lists those", "History lists those"),
    (r"look again with 'labeltrace list jobs'", "look again under Runs"),
    (r"read (\S+/log), then cancel the job", "read its log, then cancel it"),
    (r"choose another --name\b", "choose another name"),
    (
        r"say which with --axes enk or --axes nek",
        "adopt it with `labeltrace adopt`, which can be told",
    ),
    (r"score the file itself with `labeltrace score`", "score the file itself from a terminal"),
    (r" or choose another --workspace\b", ""),
    (r"name a reviewer with --reviewer or \w+", "enter your name"),
)


def on_the_page(sentence: str) -> str:
    """Return a sentence that names flags and commands in the words of the pages.

    Examples
    --------
    >>> on_the_page("--weights are for a frozen backbone.")
    'Weights are for a frozen backbone.'
    >>> on_the_page("The worker ended; continue it with 'labeltrace resume 1rr7bsv5ng0e'.")
    'The worker ended; resume it.'
    >>> on_the_page("Memory ran out; use a smaller --image-size or another --device.")
    'Memory ran out; use a smaller image size or another device.'
    >>> on_the_page("Bring it back, or follow it with `labeltrace relocate DATASET NEW_ROOT`.")
    'Bring it back, or say under Datasets where it lies now.'
    """
    for pattern, words in _REPLACED:
        sentence = re.sub(pattern, words, sentence)
    return sentence
