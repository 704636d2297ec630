"""What computing needs from the machine: torchvision, devices, seeds and weight files.

`vision` owns the torchvision import, `device` names devices and says what they can do, `lanes` works on
several cores at once where the parts know nothing of each other, `seeding`
derives every random draw from a run's seed, `weights` reads and writes tensors and owns
``torch.load``.
"""
