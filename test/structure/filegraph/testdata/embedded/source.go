package embedded

func fresh() *outer { return &outer{} }
