"""bah-mllm: recognising ambivalence and hesitancy in videos."""
