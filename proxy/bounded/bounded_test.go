package bounded

import "testing"

func TestOnlyANewKeyInAFullMapEndsAnother(t *testing.T) {
	const limit = 3
	m := map[int]string{}
	for key := range limit {
		Put(m, limit, key, "first")
	}
	Put(m, limit, 1, "second")
	if len(m) != limit || m[0] != "first" || m[1] != "second" || m[2] != "first" {
		t.Errorf("a new value for a known key leaves %v", m)
	}
	Put(m, limit, limit, "third")
	if len(m) != limit || m[limit] != "third" {
		t.Errorf("a new key leaves %v", m)
	}
}
