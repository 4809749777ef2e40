"""HTTP: JSON for engines and operators, the TUF tree, health. Only here and in `app` is Flask imported."""
