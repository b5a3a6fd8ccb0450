"""AUTH (RFC 4954): the exchange, the SASL mechanisms, and their shared helpers.

Imports nothing, so that hashlib and hmac load only when a client authenticates.
"""
