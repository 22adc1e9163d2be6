package session

import (
	"slices"
	"testing"
)

func TestSettingsThatTakeAPrivilege(t *testing.T) {
	if !slices.IsSorted(privileged[:]) || !slices.IsSorted(unshown[:]) {
		t.Fatal("a list is searched by halves, and not sorted")
	}
	for name, want := range map[string]bool{"Log_Statement": true, "session_replication_role": true, "work_mem": false, "role": false, "app.x": false} {
		if Privileged(name) != want {
			t.Errorf("%s: %t, want %t", name, !want, want)
		}
	}
	for name, want := range map[string]bool{"Dynamic_Library_Path": true, "session_preload_libraries": true, "log_statement": false, "app.x": false} {
		if Unshown(name) != want {
			t.Errorf("%s is not shown: %t, want %t", name, !want, want)
		}
	}
}
