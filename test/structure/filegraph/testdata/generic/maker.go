package generic

func make2[T number]() (a, b list[T]) { return }
