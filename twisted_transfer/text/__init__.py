"""
Text on a channel: newlines, encodings and end-of-file characters.
"""

from twisted_transfer.text.codec import Decoder, Encoder
from twisted_transfer.text.settings import TextSettings

__all__ = ["Decoder", "Encoder", "TextSettings"]
