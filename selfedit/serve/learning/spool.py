"""Jobs on the disk: a folder each in the store, with what was uploaded, and one file that says how it stands."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from selfedit.documents import SUFFIXES, Document, Question, check_titles, read_documents, read_questions
from selfedit.errors import UserError
from selfedit.files.disk import reading, sync, sync_folder, write_whole, writing
from selfedit.files.serialize import decode, encode
from selfedit.serve.learning.job import LearningJob, Progress, Upload
from selfedit.text.reading import humanised, shown

_INSTEAD = "use another --store"
_JOB, _QUESTIONS = "job.json", "questions.jsonl"
_ID = re.compile(r"job-[0-9a-f]{24}")
_LONGEST_NAME = 200


class UploadError(UserError):
    """What was uploaded cannot be learnt.

    Attributes:
        part: of the upload: "file", "questions" or "title".
    """

    def __init__(self, message: str, part: str = "file") -> None:
        super().__init__(message)
        self.part = part


@dataclass(frozen=True)
class Given:
    """A file as a client sent it."""

    name: str
    data: bytes


class Spool:
    """The folder `uploads` of a store. Names in it are ours: ids, numbers and hashes.

    What a document says now lies in `documents`, under the hash of its name: so the store knows it from one upload to
    the next, as it knows a file that is changed.
    """

    def __init__(self, store: Path) -> None:
        self._folder = store.expanduser().resolve() / "uploads"
        self._documents = self._folder / "documents"
        self._lock = FileLock(self._folder / "lock", thread_local=False)

    def open(self) -> None:
        """Keep other processes out.

        Raises:
            UserError: another one has it, or it cannot be written.
        """
        with writing(self._folder, _INSTEAD):
            self._folder.mkdir(exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise UserError(
                    f"Another 'selfedit serve' learns into {self._folder.parent}: end it, or add --read-only."
                ) from None

    def check(self) -> None:
        """Raise UserError if another process has it. Writes nothing."""
        if (self._folder / "lock").exists():
            self.open()
            self.close()

    def close(self) -> None:
        """Let other processes have it."""
        self._lock.release()

    def put(self, job: LearningJob, files: Sequence[Given], questions: bytes, title: str) -> LearningJob:
        """Keep what was uploaded; on the disk when this returns.

        Raises:
            UploadError: a file is none that can be learnt, or a question is about none of them.
            UserError: they cannot be written.
        """
        if title.strip() and len(files) != 1:
            raise UploadError("A title is for one file: leave it out, or upload one at a time.", "title")
        folder = self._folder / job.id
        with writing(self._folder, _INSTEAD):
            folder.mkdir(parents=True)
            self._documents.mkdir(exist_ok=True)
        try:
            uploads = tuple(self._keep(folder, number, file) for number, file in enumerate(files, 1))
            uploads = tuple(replace(upload, title=_line_of(title)) for upload in uploads)
            job = replace(job, uploads=uploads, names=tuple(upload.name for upload in uploads))
            documents = self.documents(job)
            if questions.strip():
                self._keep_questions(folder, questions, documents, uploads)
            self.save(job)
            with writing(self._folder, _INSTEAD):
                sync_folder(folder)
                sync(self._folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return job

    def save(self, job: LearningJob) -> None:
        """Keep how a job stands. Raises UserError where that cannot be written."""
        folder = self._folder / job.id
        with writing(self._folder, _INSTEAD):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / _JOB, encode(replace(job, progress=Progress())) + b"\n")

    def load(self, tidy: bool = True) -> list[LearningJob]:
        """All jobs that were kept, in their order; what is damaged is left where it is and passed over.

        Args:
            tidy: remove what a process left that was killed before it had answered.
        """
        if not self._folder.is_dir():
            return []
        found = []
        with reading(self._folder):
            for folder in self._folder.iterdir():
                if not _ID.fullmatch(folder.name):
                    continue
                if not (folder / _JOB).is_file():
                    if tidy:
                        shutil.rmtree(folder, ignore_errors=True)
                    continue
                try:
                    job = decode(LearningJob, (folder / _JOB).read_bytes())
                except ValueError:
                    continue
                if job.id == folder.name:
                    found.append(job)
        return sorted(found, key=lambda job: job.number)

    def clear(self, job: LearningJob) -> None:
        """Let go of what was uploaded for a job that is over; how it ended stays."""
        for upload in job.uploads:
            (self._folder / job.id / upload.file).unlink(missing_ok=True)
        (self._folder / job.id / _QUESTIONS).unlink(missing_ok=True)

    def remove(self, job: LearningJob) -> None:
        """Forget a job."""
        shutil.rmtree(self._folder / job.id, ignore_errors=True)

    def questions(self, job: LearningJob) -> Path | None:
        """The file of questions that came with a job."""
        path = self._folder / job.id / _QUESTIONS
        return path if path.is_file() else None

    def documents(self, job: LearningJob) -> list[Document]:
        """What was uploaded, read, each at its place among the documents of the store.

        Raises:
            UploadError: a file is none that can be learnt.
        """
        found = []
        for upload in job.uploads:
            path = self._folder / job.id / upload.file
            try:
                read = read_documents([path])
            except RecursionError:
                raise UploadError(f"{upload.name} is nested too deeply.") from None
            except UserError as error:
                raise UploadError(str(error).replace(shown(path), upload.name)) from None
            place = str(self._documents / f"{sha256(upload.name.encode()).hexdigest()[:32]}{path.suffix}")
            found += [replace(each, path=place, title=_title(each, path, upload)) for each in read]
        return found

    def publish(self, job: LearningJob) -> None:
        """Put what was uploaded where the store looks for it. Raises UserError where it cannot be written."""
        with writing(self._folder, _INSTEAD):
            for upload in job.uploads:
                data = (self._folder / job.id / upload.file).read_bytes()
                suffix = PurePosixPath(upload.file).suffix
                write_whole(self._documents / f"{sha256(upload.name.encode()).hexdigest()[:32]}{suffix}", data)

    def _keep(self, folder: Path, number: int, file: Given) -> Upload:
        name = printable(file.name)
        suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)
        if suffix is None:
            known = ", ".join(sorted(SUFFIXES))
            raise UploadError(f"Cannot tell the format of '{shown(name, 80)}': its name has to end in {known}.")
        with writing(self._folder, _INSTEAD):
            write_whole(folder / f"{number}{suffix}", file.data)
        return Upload(name, f"{number}{suffix}")

    def _keep_questions(
        self, folder: Path, data: bytes, documents: Sequence[Document], uploads: Sequence[Upload]
    ) -> None:
        """Keep questions; where one names a file, it gets the title of the document that is in it."""
        path = folder / _QUESTIONS
        titles: dict[str, str] = {}
        if len(uploads) == len(documents):  # Else a file holds many, which have titles of their own.
            titles = {upload.name.casefold(): each.title for upload, each in zip(uploads, documents, strict=True)}
        with writing(self._folder, _INSTEAD):
            write_whole(path, data)
        try:
            asked = read_questions(path)
            asked = [replace(each, title=titles.get(each.title.casefold(), each.title)) for each in asked]
            check_titles(asked, documents)
        except UserError as error:
            raise UploadError(str(error).replace(shown(path), "questions"), "questions") from None
        with writing(self._folder, _INSTEAD):
            write_whole(path, b"".join(_line(each) for each in asked))


def printable(name: str) -> str:
    """A name as one short line that can be shown; what is left of a path in it is only words."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return _line_of(last)[-_LONGEST_NAME:] or "document"


def _line_of(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _title(document: Document, path: Path, upload: Upload) -> str:
    """The client's, or the document's own, or one made of its name."""
    if upload.title:
        return upload.title
    if document.title != humanised(path):
        return document.title
    return humanised(Path(upload.name))


def _line(question: Question) -> bytes:
    fields = {"question": question.question, "answers": list(question.answers)}
    more = {"title": question.title, "context": question.context}
    return json.dumps(fields | {name: text for name, text in more.items() if text}).encode() + b"\n"
