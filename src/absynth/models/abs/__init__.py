"""Analysis by Synthesis (Schott et al. 2019): one generative model per class, decision by energy."""
