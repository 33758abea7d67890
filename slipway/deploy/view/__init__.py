"""The page of `slipway view`: hosts are asked again and again, and a server on this machine shows what they said."""
