"""mmtutor: the training and evaluation code behind the book *Multimodal Large Models*.

A batch walks one way, and so do the imports:
data -> encoders -> fusion -> models -> losses -> training -> evaluation -> explain -> deploy.
Importing `mmtutor` runs, logs, downloads and configures nothing.
"""

__version__ = "0.1.0"
