"""Countermeasures: what an attacker does to learn from protected images; one file for each thing that is changed."""
