"""Thin routes: parse, guard, call, answer."""
