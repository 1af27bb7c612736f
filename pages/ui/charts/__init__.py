"""Values -> Plotly figures. Only `show.py` imports Streamlit; nothing else in the laboratory imports Plotly."""
