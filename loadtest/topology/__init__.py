"""Mark P7: bringing a broker to a topology of a thousand objects, and finding that nothing is to be done."""
