package list

import "sync"

// List is a list of items, the last one first. All methods may be called from any goroutine.
type List[T any] struct {
	mu struct {
		sync.Mutex
		head *Node[T]
		n    int
	}
}

// Node is the place of an item in a list. The mutex of the list guards it.
type Node[T any] struct {
	prev, next *Node[T]
	item       T
}

// Add adds an item at a node that is in no list.
func (l *List[T]) Add(n *Node[T], item T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.item, n.next = item, l.mu.head
	if l.mu.head != nil {
		l.mu.head.prev = n
	}
	l.mu.head = n
	l.mu.n++
}

// Remove removes a node that is in the list.
func (l *List[T]) Remove(n *Node[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.mu.head = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	}
	*n = Node[T]{}
	l.mu.n--
}

// Len returns the number of items.
func (l *List[T]) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.n
}

// All returns all items.
func (l *List[T]) All() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]T, 0, l.mu.n)
	for n := l.mu.head; n != nil; n = n.next {
		all = append(all, n.item)
	}
	return all
}
