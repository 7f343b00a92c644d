"""Broken files of every format that is read: each is answered or refused with a sentence, and nothing else happens."""
