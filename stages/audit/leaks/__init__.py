"""Leak tests: what a protection gives away of itself, whoever is protected by it; one file each."""
