"""Training: from pixels or features to the training dynamics of every row.

``rows`` says what is trained on which label, ``networks`` what learns, ``backbones`` and
``features`` what a frozen network sees, ``batches`` turns rows into inputs on the device,
``schedules`` sets the learning rate, ``signals`` turns logits into one value per row, ``recorder``
keeps them (``probabilities`` their sums), ``loop`` trains.
"""
