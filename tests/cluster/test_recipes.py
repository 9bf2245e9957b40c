"""The recipes in cluster/: each is checked by the rules of what reads it, and the rules notice a planted error."""

import http.server
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from copy import deepcopy
from pathlib import Path

import jsonschema
import pytest
import yaml

from orchestrator.errors import SweepError
from orchestrator.machines.hosts import read_hosts
from tests.scripts import environment
from tests.waiting import until

CLUSTER = Path(__file__).parents[2] / "cluster"
KUBERAY = yaml.safe_load((Path(__file__).parent / "kuberay.yaml").read_text())
MANIFESTS = {"rayjob.yaml": "RayJob", "raycluster.yaml": "RayCluster"}


def manifest(name):
    """The KubeRay object of a file, and what else it holds, by kind."""
    documents = {
        document["kind"]: document for document in yaml.safe_load_all((CLUSTER / "kubernetes" / name).read_text())
    }
    return documents.pop(MANIFESTS[name]), documents


def complaints(ray):
    """What KubeRay's API server would say of an object."""
    spec = deepcopy(ray["spec"])
    found = []
    if ray["kind"] == "RayJob":
        found += jsonschema.Draft202012Validator(KUBERAY["RayCluster"]).iter_errors(spec.pop("rayClusterSpec"))
    found += jsonschema.Draft202012Validator(KUBERAY[ray["kind"]]).iter_errors(spec)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def cluster_of(ray):
    return ray["spec"]["rayClusterSpec"] if ray["kind"] == "RayJob" else ray["spec"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_what_kuberay_takes(name):
    """Every field is one of its CRDs', of the right type; each planted error is found."""
    ray, _ = manifest(name)
    assert (ray["apiVersion"], complaints(ray)) == ("ray.io/v1", [])
    for plant in (
        lambda c: c.update(autoscalerOption=c.pop("autoscalerOptions")),
        lambda c: c["authOptions"].update(mode="tokens"),
        lambda c: c["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}),
        lambda c: c["workerGroupSpecs"][0].update(maxReplicas="8"),
        lambda c: c["workerGroupSpecs"][0]["template"]["spec"]["containers"][0].update(volumeMount=[]),
        lambda c: c["headGroupSpec"].pop("template"),
    ):
        planted = deepcopy(ray)
        plant(cluster_of(planted))
        assert len(complaints(planted)) == 1


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_keeps_what_a_sweep_needs(name):
    """No trial on the head; a token; runs on a disk that all see; shared memory; time to save; room in the node for it all."""
    ray, others = manifest(name)
    cluster = cluster_of(ray)
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert cluster["authOptions"]["mode"] == "token"
    assert "ReadWriteMany" in others["PersistentVolumeClaim"]["spec"]["accessModes"]
    pods = [cluster["headGroupSpec"]["template"], *(group["template"] for group in cluster["workerGroupSpecs"])]
    for pod in pods:
        (container,) = pod["spec"]["containers"]
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
        assert (
            mounts["/runs"]["persistentVolumeClaim"]["claimName"] == others["PersistentVolumeClaim"]["metadata"]["name"]
        )
        assert mounts["/dev/shm"]["emptyDir"]["medium"] == "Memory"
        assert pod["spec"]["terminationGracePeriodSeconds"] >= 60
        assert {item["name"]: item.get("value", "") for item in container["env"]}["SWEEP_RUNS_DIR"].startswith("/runs")
    (worker,) = pods[1]["spec"]["containers"]
    hook, seconds = worker["lifecycle"]["preStop"]["exec"]["command"]
    assert (CLUSTER.parent / hook.removeprefix("/opt/sweep-orchestrator/")).is_file()
    assert int(seconds) < pods[1]["spec"]["terminationGracePeriodSeconds"]
    labels = pods[1]["metadata"]["labels"].items()
    assert others["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels


def test_the_image_is_of_the_ray_that_was_tested():
    """Dockerfile, manifests and the lock file name one version."""
    (pin,) = [
        line for line in (CLUSTER.parent / "constraints.txt").read_text().splitlines() if line.startswith("ray==")
    ]
    version = pin.removeprefix("ray==")
    assert f"rayproject/ray:{version}-py311" in (CLUSTER / "kubernetes" / "Dockerfile").read_text()
    assert {cluster_of(manifest(name)[0])["rayVersion"] for name in MANIFESTS} == {version}


CHECK_RAY_UP = """
import sys, yaml
from ray.autoscaler._private.util import prepare_config, validate_config
for path in sys.argv[1:]:
    text = open(path).read()
    for planted in (False, True):
        config = yaml.safe_load(text.replace("idle_timeout_minutes", "idle_timeout") if planted else text)
        try:
            validate_config(prepare_config(config))
            print(path, planted, "taken", config["head_node_type"], config["available_node_types"]["head"]["resources"])
        except Exception as error:
            print(path, planted, "refused", type(error).__name__)
"""


def test_ray_up_takes_each_template():
    """By Ray's own schema, in one process; a misspelt key is refused. No port but ssh's is opened to the world."""
    paths = sorted((CLUSTER / "ray-up").glob("*.yaml"))
    assert [path.stem for path in paths] == ["aws", "azure", "gcp"]
    command = [sys.executable, "-c", CHECK_RAY_UP, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=240, check=True)
    said = done.stdout.splitlines()
    assert [line.split()[1:3] for line in said] == [["False", "taken"], ["True", "refused"]] * 3
    assert all("'CPU': 0" in line for line in said if "taken" in line)
    for path in paths:
        (head,) = [line for line in yaml.safe_load(path.read_text())["head_start_ray_commands"] if "--head" in line]
        assert "--dashboard-host=127.0.0.1" in head
        assert "RAY_AUTH_MODE=token" in head


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_ray_up_s_workers_listen_for_their_cloud_s_notice(cloud):
    """Each starts the watcher of its own cloud, with the token; what it needs is sent there."""
    config = yaml.safe_load((CLUSTER / "ray-up" / f"{cloud}.yaml").read_text())
    watches = shlex.split(config["worker_start_ray_commands"][-1])
    assert {"RAY_AUTH_MODE=token", "RAY_AUTH_TOKEN_PATH=~/.ray/auth_token"} < set(watches)
    program = next(word for word in watches if word.endswith("notice.py"))
    assert watches[watches.index(program) + 1] == cloud
    sent = config["file_mounts"][str(Path(program).parent)]
    assert all((CLUSTER.parent / sent / name).is_file() for name in ("notice.py", "leave.sh"))


def in_utc(seconds, form):
    """A moment so many seconds from now."""
    return time.strftime(form, time.gmtime(time.time() + seconds))


NOTICES = {
    "aws": lambda: {
        "/latest/api/token": "a token",
        "/latest/meta-data/spot/instance-action": json.dumps(
            {"action": "terminate", "time": in_utc(118.9, "%Y-%m-%dT%H:%M:%SZ")}
        ),
    },
    "gcp": lambda: {"/computeMetadata/v1/instance/preempted": "TRUE"},
    "azure": lambda: {
        "/metadata/instance/compute/name": "mine",
        "/metadata/scheduledevents": json.dumps(
            {
                "Events": [
                    {
                        "EventType": "Preempt",
                        "Resources": ["other"],
                        "NotBefore": in_utc(5, "%a, %d %b %Y %H:%M:%S GMT"),
                    },
                    {"EventType": "Freeze", "Resources": ["mine"], "NotBefore": ""},
                    {
                        "EventType": "Preempt",
                        "Resources": ["mine"],
                        "NotBefore": in_utc(89, "%a, %d %b %Y %H:%M:%S GMT"),
                    },
                ]
            }
        ),
    },
}
"""What a cloud's metadata service says once it takes a machine back, as its documentation shows it."""

QUIET = {
    "aws": {"/latest/api/token": "a token"},
    "gcp": {"/computeMetadata/v1/instance/preempted": "FALSE"},
    "azure": {"/metadata/instance/compute/name": "mine", "/metadata/scheduledevents": '{"Events": []}'},
}
ASKS = {
    "aws": ("X-aws-ec2-metadata-token", "a token"),
    "gcp": ("Metadata-Flavor", "Google"),
    "azure": ("Metadata", "true"),
}
GIVEN_S = {"aws": range(60, 120), "gcp": [30], "azure": range(30, 90)}


class Metadata(http.server.BaseHTTPRequestHandler):
    """A metadata service: quiet at first, then broken, then with a notice. It answers whom it should alone."""

    def do_GET(self):
        path, server = self.path.partition("?")[0], self.server
        header, value = ASKS[server.cloud]
        server.asked.append(path)
        said = (NOTICES[server.cloud]() if len(server.asked) > 5 else QUIET[server.cloud]).get(path)
        if len(server.asked) == 5:
            self.wfile.write(b"no HTTP")
            return
        is_token = path == "/latest/api/token"
        status = 500 if len(server.asked) == 4 else 404 if said is None else 200
        if is_token != (self.command == "PUT") or (not is_token and self.headers.get(header) != value):
            status = 401
        self.send_response(status)
        self.end_headers()
        self.wfile.write((said or "").encode())

    do_PUT = do_GET  # noqa: N815 - the server's own name

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("cloud", NOTICES)
def test_a_spot_machine_leaves_when_its_cloud_says_so(tmp_path, cloud):
    """It asks as each cloud wants to be asked, bears an answer that fails, and has the time that is left; one runs at a time."""
    shutil.copy(CLUSTER / "notice.py", tmp_path)
    (tmp_path / "leave.sh").write_text('echo "left with $1"\n')
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        server.cloud, server.asked = cloud, []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        environ = environment(SWEEP_METADATA=address, HOME=str(tmp_path))
        command = [sys.executable, tmp_path / "notice.py", cloud]
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as watching:
            while not server.asked:
                time.sleep(0.02)
            assert subprocess.run(command, env=environ, capture_output=True, timeout=60, check=True).stdout == b""
            trouble, garbage, notice, left = watching.communicate(timeout=60)[0].splitlines()
        server.shutdown()
    assert "500" in trouble
    assert "no HTTP" in garbage
    assert int(left.removeprefix("left with ")) in GIVEN_S[cloud]
    assert left.removeprefix("left with ") in notice


SWEEP = """#!/bin/sh
[ "$1" = ls ] && { cat "$SWEEP_RUNS_DIR/sweeps" 2>/dev/null; exit; }
echo "$@" >> "$SWEEP_RUNS_DIR/said"; echo k3x9w2ab > "$SWEEP_RUNS_DIR/sweeps"; exit 5
"""


def test_run_or_resume_starts_once_and_then_goes_on(tmp_path):
    """Whatever the sweep's exit code says is what the job hears."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sweep").write_text(SWEEP)
    (tmp_path / "bin" / "sweep").chmod(0o755)
    runs = tmp_path / "runs of one"
    environ = environment(SWEEP_RUNS_DIR=str(runs)) | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    for _ in range(2):
        command = [CLUSTER / "run-or-resume.sh", "my spec.yaml", "--address", "auto"]
        assert subprocess.run(command, env=environ, timeout=60, check=False).returncode == 5
    assert (runs / "said").read_text().splitlines() == ["run my spec.yaml --address auto", "resume last --address auto"]


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("name", ["leave.sh", "run-or-resume.sh", "slurm/sweep.sbatch"])
def test_a_script_has_none_of_the_shells_traps(name):
    """Quoting, undefined variables, constructs of another shell."""
    done = subprocess.run(["shellcheck", CLUSTER / name], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


SLURM = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
SlurmctldPort=7817
SlurmdPort=7818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=30 State=UP
PartitionName=high Nodes={host} PriorityTier=10 State=UP
"""

PROGRAM = """\
import sys, time, orchestrator
for step in range(5):
    time.sleep(1)
    orchestrator.report({"loss": float(sys.argv[1].split("=")[1]) / (step + 1)})
"""

SPEC = """\
program: train.py
method: grid
metric: {name: loss, goal: minimize}
parameters: {x: {values: [1, 2, 3, 4, 5, 6]}}
orchestrator: {wandb: "off"}
"""


@pytest.fixture
def slurm(tmp_path):
    """A Slurm of one node with two CPUs; yields a function that runs its commands in a project's folder."""
    if missing := [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if not shutil.which(name)]:
        pytest.skip(f"not installed: {', '.join(missing)} (apt install slurmctld slurmd slurm-client munge)")
    if os.getuid():
        pytest.skip("slurmd starts jobs as root alone")
    if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode:
        pytest.skip("munged is not running (service munge start)")
    for name in ("state", "spool", "project"):
        (tmp_path / name).mkdir()
    conf = tmp_path / "slurm.conf"
    conf.write_text(SLURM.format(host=os.uname().nodename.split(".")[0], root=tmp_path))
    environ = environment(SLURM_CONF=str(conf))
    daemons = [subprocess.Popen([name, "-D", "-f", str(conf)], env=environ) for name in ("slurmctld", "slurmd")]

    def command(*words):
        return subprocess.run(
            words, cwd=tmp_path / "project", env=environ, capture_output=True, text=True, timeout=60, check=True
        ).stdout.strip()

    try:
        until(
            lambda: (
                "idle"
                in subprocess.run(["sinfo", "-h"], env=environ, capture_output=True, text=True, check=False).stdout
            ),
            patience_s=300,
        )
        yield command
    finally:
        subprocess.run(["scancel", "--user=root"], env=environ, check=False)
        until(
            lambda: not subprocess.run(["squeue", "-h"], env=environ, capture_output=True, check=False).stdout,
            patience_s=300,
        )
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(30)


@pytest.mark.soak
@pytest.mark.ray
@pytest.mark.timeout(1800)
def test_a_job_comes_back_until_its_sweep_is_done_and_a_canceled_one_does_not(slurm, tmp_path):
    """A real Slurm preempts it midway, or its time is up: it comes back and runs what is left. `scancel` is for good."""
    project = tmp_path / "project"
    (project / "train.py").write_text(PROGRAM)
    (project / "spec.yaml").write_text(SPEC)

    def submit():
        job = slurm("sbatch", "--parsable", "--cpus-per-task=2", str(CLUSTER / "slurm" / "sweep.sbatch"), "spec.yaml")
        until(
            lambda: (project / f"sweep-{job}.log").exists() and "[2/6]" in (project / f"sweep-{job}.log").read_text(),
            patience_s=300,
        )
        return job

    def state(job):
        words = slurm("scontrol", "show", "job", job).split()
        return next(word for word in words if word.startswith("JobState=")).removeprefix("JobState=")

    job = submit()
    slurm("sbatch", "--partition=high", "--cpus-per-task=2", "--wrap=sleep 5")
    until(lambda: state(job) == "COMPLETED", patience_s=900)
    said = (project / f"sweep-{job}.log").read_text()
    assert "Restarts=1" in slurm("scontrol", "show", "job", job)
    assert "6 trials (6 finished)" in said
    assert said.count("trial 0 finished") == 1
    job = submit()
    slurm("scancel", "--batch", "--signal=USR1", job)
    until(lambda: state(job) == "PENDING", patience_s=300)
    said = (project / f"sweep-{job}.log").read_text()
    assert "(2 finished, 2 to run again)" in said
    slurm("scancel", job)
    job = submit()
    slurm("scancel", job)
    until(lambda: state(job) == "CANCELLED", patience_s=300)
    time.sleep(10)
    assert state(job) == "CANCELLED"


def test_the_hosts_file_is_one(tmp_path):
    """What people copy is read as it stands; a planted error is found."""
    path = CLUSTER / "ssh/hosts.yaml"
    assert [host.host for host in read_hosts(path).hosts] == ["GPU1", "GPU2"]
    planted = tmp_path / "hosts.yaml"
    planted.write_text(path.read_text().replace("gpus: 4", "gpu: 4"))
    with pytest.raises(SweepError, match="gpu: no key of a host"):
        read_hosts(planted)
