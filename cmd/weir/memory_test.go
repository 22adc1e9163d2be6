package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestGoGetsMostOfTheMemory(t *testing.T) {
	for limit, want := range map[int64]int64{32 << 20: 16 << 20, 64 << 20: 40 << 20, 512 << 20: 384 << 20} {
		if got := shareOf(limit); got != want {
			t.Errorf("of %d bytes Go gets %d, want %d", limit, got, want)
		}
	}
}

func TestMemoryLimitIsTheLowestOfTheControlGroups(t *testing.T) {
	const none = "9223372036854771712\n" // what version 1 shows
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no control groups": {nil, 0},
		"a container": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "67108864\n",
		}, 64 << 20},
		"a container without a limit": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n",
		}, 0},
		"a service of systemd": {map[string]string{
			"proc/self/cgroup": "0::/system.slice/weir.service\n", "sys/fs/cgroup/system.slice/weir.service/memory.max": "max\n",
			"sys/fs/cgroup/system.slice/memory.max": "1073741824\n",
		}, 1 << 30},
		"the lower one of two": {map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "1073741824\n", "sys/fs/cgroup/a/b/memory.max": "2147483648\n",
		}, 1 << 30},
		"version 1": {map[string]string{
			"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/weir\n0::/weir\n", "sys/fs/cgroup/memory/weir/memory.limit_in_bytes": "134217728\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": none,
		}, 128 << 20},
		"version 1, in a container that does not see its host's path": {map[string]string{
			"proc/self/cgroup": "4:memory:/docker/0123\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "67108864\n",
		}, 64 << 20},
		"nonsense": {map[string]string{
			"proc/self/cgroup": "memory\n:\n0::\n", "sys/fs/cgroup/memory.max": "a lot\n",
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range c.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := memoryLimit(root); got != c.want {
				t.Errorf("the limit is %d, want %d", got, c.want)
			}
		})
	}
}
