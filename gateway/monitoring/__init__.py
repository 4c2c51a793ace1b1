"""How programs far away see that the gateway works: its figures for Prometheus, and two yes-or-no questions."""
