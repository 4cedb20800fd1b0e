"""An event's life: kinds, intake, marks, applier, dead letters, ledger."""
