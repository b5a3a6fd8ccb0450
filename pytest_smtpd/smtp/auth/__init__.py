"""AUTH (RFC 4954): one exchange, the SASL mechanisms, and what the mechanisms share.

Nothing is loaded here: hashlib and hmac are only for servers whose clients authenticate.
"""
