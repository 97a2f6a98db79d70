// Package backing connects package schedule with what drives its tasks in tests.
package backing
