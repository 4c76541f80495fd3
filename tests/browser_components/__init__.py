"""The three components alone in a real Chromium, on a small server of their own."""
