# Stock MicroPython runs main.py from source only, so it stays this short; the rest is compiled.
import app

app.run()
