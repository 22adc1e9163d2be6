// Package bounded keeps the size of maps whose keys strangers can choose within a limit.
//
// It is pure, and imports nothing.
package bounded

// Put sets a value in a map of at most limit keys. If the key is new and the map is full, an arbitrary other one makes room.
func Put[K comparable, V any](m map[K]V, limit int, key K, value V) {
	if _, known := m[key]; !known && len(m) >= limit {
		for other := range m {
			delete(m, other)
			break
		}
	}
	m[key] = value
}
