"""MIME: octets to structure, read once. Knows neither `Message` nor the email package."""
