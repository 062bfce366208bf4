"""Delivers notifications as mails over SMTP.

Owns one record per notification: skipped because the customer has no mail address, being sent, or sent. Mail is
at-least-once; a repetition carries the same Message-ID, by which mail programs recognise it.
"""
