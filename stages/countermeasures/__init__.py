"""Countermeasures: what an attacker does so that a model learns from protected images all the same; one file each."""
