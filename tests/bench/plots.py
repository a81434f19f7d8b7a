"""Series of measurements as SVG, drawn by gnuplot."""

import os
import subprocess
from dataclasses import dataclass


@dataclass
class Plot:
    name: str  # of the file
    title: str
    x: str
    y: str
    lines: dict  # label -> [(x, y)]


def draw(plot, directory):
    """The path of what was drawn."""
    path = os.path.join(directory, plot.name + ".svg")
    script = [
        "set terminal svg size 720,420 font 'sans,13' background '#ffffff'",
        f"set output '{path}'",
        f"set title '{plot.title}'",
        f"set xlabel '{plot.x}'",
        f"set ylabel '{plot.y}'",
        "set logscale xy",
        "set format x '%.0f'",
        "set grid",
        "set key outside bottom center horizontal",
    ]
    for i, points in enumerate(plot.lines.values()):
        script += [f"$data{i} << EOD", *(f"{x} {y}" for x, y in points), "EOD"]
    drawings = [
        f"$data{i} with linespoints linewidth 2 title '{label}'"
        for i, label in enumerate(plot.lines)
    ]
    script.append("plot " + ", ".join(drawings))
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)
    return path
