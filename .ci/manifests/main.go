// Command manifests checks the files of deploy/kubernetes and deploy/helm without a cluster: it builds them as kubectl
// apply -k and helm template do, and decodes each object strictly into Kubernetes' own type, so that a field that does not
// exist, stands twice or has the wrong type is an error. It is a module of its own because nothing else here needs the
// packages of Kubernetes and Helm.
package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	if len(os.Args) < 2 || len(os.Args) > 3 {
		fmt.Fprintln(os.Stderr, "usage: manifests FOLDER, or manifests CHART [VALUES.yaml]")
		os.Exit(2)
	}
	if err := check(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "manifests: %v\n", err)
		os.Exit(1)
	}
}

// object is a text and where it came from.
type object struct{ name, text string }

func check(folder string, values []string) error {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, autoscalingv2.AddToScheme, corev1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})

	build := func() ([]object, error) { return render(folder, values) }
	if _, err := os.Stat(filepath.Join(folder, "Chart.yaml")); errors.Is(err, os.ErrNotExist) {
		build = func() ([]object, error) { return kustomize(folder) }
	}
	objects, err := build()
	if err != nil {
		return fmt.Errorf("build %s: %w", folder, err)
	}
	if len(objects) == 0 {
		return fmt.Errorf("%s makes nothing", folder)
	}
	var services []string
	for _, o := range objects {
		decoded, _, err := decoder.Decode([]byte(o.text), nil, nil)
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", o.name, err, o.text)
		}
		fmt.Println(o.name)
		switch d := decoded.(type) {
		case *appsv1.StatefulSet:
			services = append(services, "needs "+d.Spec.ServiceName)
			if err := consistent(d); err != nil {
				return fmt.Errorf("%s: %w", o.name, err)
			}
		case *corev1.Service:
			services = append(services, "is "+d.Name)
		case *corev1.ConfigMap: // what pods will find, for who knows what it should be
			fmt.Printf("weir.toml %x\n", sha256.Sum256([]byte(d.Data["weir.toml"])))
		}
	}
	for _, s := range services {
		if name, needed := strings.CutPrefix(s, "needs "); needed && !slices.Contains(services, "is "+name) {
			return fmt.Errorf("there is no service %s", name)
		}
	}
	return nil
}

// consistent looks for what types alone do not tell: a StatefulSet must select its own pods.
func consistent(d *appsv1.StatefulSet) error {
	for name, value := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Labels[name] != value {
			return fmt.Errorf("its pods have no label %s=%s", name, value)
		}
	}
	return nil
}

func kustomize(folder string) (objects []object, err error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, err
	}
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		objects = append(objects, object{r.CurId().String(), string(text)})
	}
	return objects, nil
}
