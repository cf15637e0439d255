# From source; the rest is compiled (docs/decisions.md 1).
import app

app.run()
