"""A real S3 server, of moto's, in a thread of the tests' process."""

import boto3
from moto.server import ThreadedMotoServer

SECRET = "s3cr3t-key"


class S3Server:
    """Started at once; `bucket` makes one and lets this process, and those it starts, find it."""

    def __init__(self):
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"

    @property
    def variables(self):
        """What the environment says of it."""
        return {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": "us-east-1",
        }

    def bucket(self, setenv, name):
        """Make a bucket and return its URL."""
        for variable, value in self.variables.items():
            setenv(variable, value)
        boto3.client("s3", endpoint_url=self.endpoint).create_bucket(Bucket=name)
        return f"s3://{name}"

    def close(self):
        self._server.stop()
