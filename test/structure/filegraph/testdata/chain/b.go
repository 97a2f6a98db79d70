package chain

func B() int { return c + local() }

func local() int { return 1 }
